# Managed Service for Apache Flink, where it is wanted. The README says what then holds and what does not.

resource "aws_s3_object" "code" {
  count = var.create_flink_application ? 1 : 0

  # A new zip has a new name, so that the application sees it.
  key    = "code/${filesha256(var.flink_code_zip)}.zip"
  bucket = aws_s3_bucket.data.id
  source = var.flink_code_zip
}

resource "aws_cloudwatch_log_group" "flink" {
  count = var.create_flink_application ? 1 : 0

  name              = "/crowdpulse/${var.name}/flink"
  retention_in_days = 30
}

resource "aws_cloudwatch_log_stream" "flink" {
  count = var.create_flink_application ? 1 : 0

  name           = "application"
  log_group_name = aws_cloudwatch_log_group.flink[0].name
}

resource "aws_iam_role_policy" "flink_application" {
  count = var.create_flink_application ? 1 : 0

  name = "application"
  role = aws_iam_role.crowdpulse["flink"].name
  policy = templatefile("${path.module}/policies/flink_application.json.tftpl", {
    bucket_arn     = aws_s3_bucket.data.arn
    log_group_arn  = aws_cloudwatch_log_group.flink[0].arn
    log_groups_arn = "${local.regional.logs}:log-group:*"
  })
}

resource "aws_iam_role_policy" "flink_network" {
  count = var.create_flink_application && local.in_vpc ? 1 : 0

  name = "network"
  role = aws_iam_role.crowdpulse["flink"].name
  policy = templatefile("${path.module}/policies/flink_network.json.tftpl", {
    ec2_arn           = local.regional.ec2
    region            = var.aws_region
    security_group_id = aws_security_group.kafka[0].id
  })
}

locals {
  regional = { for service in ["ec2", "logs"] : service =>
    "arn:${data.aws_partition.current.partition}:${service}:${var.aws_region}:${data.aws_caller_identity.current.account_id}"
  }
}

resource "aws_kinesisanalyticsv2_application" "flink" {
  count = var.create_flink_application ? 1 : 0

  name                   = var.name
  runtime_environment    = var.flink_runtime
  service_execution_role = aws_iam_role.crowdpulse["flink"].arn
  start_application      = true

  application_configuration {
    application_code_configuration {
      code_content_type = "ZIPFILE"

      code_content {
        s3_content_location {
          bucket_arn = aws_s3_bucket.data.arn
          file_key   = aws_s3_object.code[0].key
        }
      }
    }

    # A snapshot would keep a forgotten person until somebody deletes it.
    application_snapshot_configuration {
      snapshots_enabled = false
    }

    environment_properties {
      property_group {
        property_group_id = "kinesis.analytics.flink.run.options"

        property_map = {
          python  = var.flink_python
          jarfile = var.flink_jar
        }
      }
    }

    flink_application_configuration {
      checkpoint_configuration {
        configuration_type            = "CUSTOM"
        checkpointing_enabled         = true
        checkpoint_interval           = 60000 # ms; what goes to S3 is committed as often
        min_pause_between_checkpoints = 5000  # ms
      }

      monitoring_configuration {
        configuration_type = "CUSTOM"
        log_level          = "INFO"
        metrics_level      = "TASK"
      }

      parallelism_configuration {
        configuration_type   = "CUSTOM"
        auto_scaling_enabled = false
        parallelism          = var.flink_parallelism
        parallelism_per_kpu  = 1
      }
    }

    dynamic "vpc_configuration" {
      for_each = local.in_vpc ? [aws_security_group.kafka[0].id] : []

      content {
        subnet_ids         = var.subnet_ids
        security_group_ids = [vpc_configuration.value]
      }
    }
  }

  cloudwatch_logging_options {
    log_stream_arn = aws_cloudwatch_log_stream.flink[0].arn
  }

  depends_on = [
    aws_iam_role_policy.flink_application,
    aws_iam_role_policy.flink_network,
    aws_iam_role_policy_attachment.crowdpulse,
    aws_iam_role_policy_attachment.kafka,
  ]
}
