# Three roles, each with what its program calls and no more. tests/deploy/test_terraform.py compares the actions with
# the operations in the code. "*" is a resource only for Comprehend's and Rekognition's detection, whose actions take
# no resource (Rekognition's only that of an adapter of one's own); the condition on the region stands in for it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  # flink: runs the jobs. producer: python -m producers.instagram. forget: python -m jobs.forget.
  roles = toset(["flink", "producer", "forget"])

  account = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"

  policy_values = {
    bucket_arn = aws_s3_bucket.data.arn
    region     = var.aws_region
  }

  application_trust = [for _ in range(var.create_flink_application ? 1 : 0) : {
    Sid       = "ManagedFlink"
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { Service = "kinesisanalytics.amazonaws.com" }
    Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
  }]
}

resource "aws_iam_role" "crowdpulse" {
  for_each = local.roles

  name        = "${var.name}-${each.key}"
  description = "Crowdpulse: ${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid       = "TrustedPrincipals"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = length(var.trusted_principals[each.key]) > 0 ? var.trusted_principals[each.key] : [local.account] }
    }], [for trust in local.application_trust : trust if each.key == "flink"])
  })
}

# Policies of their own rather than inline ones: they can be attached to a person or another role as well.
resource "aws_iam_policy" "crowdpulse" {
  for_each = local.roles

  name        = "${var.name}-${each.key}"
  description = "Crowdpulse: what ${each.key} may do with S3, Comprehend and Rekognition"
  policy      = templatefile("${path.module}/policies/${each.key}.json.tftpl", local.policy_values)
}

resource "aws_iam_role_policy_attachment" "crowdpulse" {
  for_each = local.roles

  role       = aws_iam_role.crowdpulse[each.key].name
  policy_arn = aws_iam_policy.crowdpulse[each.key].arn
}
