# Kafka, where it is wanted: serverless or provisioned, always with IAM and TLS, reached from within the VPC only.

resource "aws_msk_serverless_cluster" "kafka" {
  count = var.create_msk && var.msk_type == "serverless" ? 1 : 0

  cluster_name = var.name

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.kafka[0].id]
  }

  client_authentication {
    sasl {
      iam {
        enabled = true
      }
    }
  }
}

resource "aws_msk_configuration" "kafka" {
  count = var.create_msk && var.msk_type == "provisioned" ? 1 : 0

  name           = var.name
  kafka_versions = [var.msk_kafka_version]

  server_properties = <<-EOT
    auto.create.topics.enable=false
    message.max.bytes=2097152
    default.replication.factor=${length(var.subnet_ids)}
    min.insync.replicas=${max(1, length(var.subnet_ids) - 1)}
  EOT
}

resource "aws_msk_cluster" "kafka" {
  count = var.create_msk && var.msk_type == "provisioned" ? 1 : 0

  cluster_name           = var.name
  kafka_version          = var.msk_kafka_version
  number_of_broker_nodes = length(var.subnet_ids)

  broker_node_group_info {
    instance_type   = var.msk_instance_type
    client_subnets  = var.subnet_ids
    security_groups = [aws_security_group.kafka[0].id]

    storage_info {
      ebs_storage_info {
        volume_size = var.msk_volume_gib
      }
    }
  }

  client_authentication {
    sasl {
      iam = true
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.kafka[0].arn
    revision = aws_msk_configuration.kafka[0].latest_revision
  }

  encryption_info {
    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }
}

locals {
  cluster_arn = one(concat(aws_msk_serverless_cluster.kafka[*].arn, aws_msk_cluster.kafka[*].arn))

  kafka_values = var.create_msk ? {
    cluster_arn     = local.cluster_arn
    topic_arn       = replace(local.cluster_arn, ":cluster/", ":topic/")
    group_arn       = replace(local.cluster_arn, ":cluster/", ":group/")
    transaction_arn = replace(local.cluster_arn, ":cluster/", ":transactional-id/")
  } : {}
}

resource "aws_iam_policy" "kafka" {
  for_each = var.create_msk ? local.roles : toset([])

  name        = "${var.name}-kafka-${each.key}"
  description = "Crowdpulse: what ${each.key} may do with Kafka"
  policy      = templatefile("${path.module}/policies/kafka_${each.key}.json.tftpl", local.kafka_values)
}

resource "aws_iam_role_policy_attachment" "kafka" {
  for_each = aws_iam_policy.kafka

  role       = aws_iam_role.crowdpulse[each.key].name
  policy_arn = each.value.arn
}
