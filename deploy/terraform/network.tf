# One security group for all that speaks to Kafka with IAM: brokers and clients both are in it.

locals {
  in_vpc = var.create_msk || (var.create_flink_application && length(var.subnet_ids) > 0)
}

data "aws_subnet" "first" {
  count = local.in_vpc ? 1 : 0

  id = var.subnet_ids[0]
}

resource "aws_security_group" "kafka" {
  count = local.in_vpc ? 1 : 0

  name        = "${var.name}-kafka"
  description = "Crowdpulse: Kafka brokers and their clients"
  vpc_id      = data.aws_subnet.first[0].vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "kafka" {
  count = local.in_vpc ? 1 : 0

  security_group_id            = aws_security_group.kafka[0].id
  description                  = "Kafka with IAM and TLS, from members of this group only"
  referenced_security_group_id = aws_security_group.kafka[0].id
  ip_protocol                  = "tcp"
  from_port                    = 9098
  to_port                      = 9098
}

resource "aws_vpc_security_group_egress_rule" "kafka" {
  for_each = local.in_vpc ? { kafka = 9098, https = 443 } : {}

  security_group_id            = aws_security_group.kafka[0].id
  description                  = each.key == "https" ? "S3, Comprehend, Rekognition, Elasticsearch" : "Kafka with IAM and TLS"
  cidr_ipv4                    = each.key == "https" ? "0.0.0.0/0" : null
  referenced_security_group_id = each.key == "https" ? null : aws_security_group.kafka[0].id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}
