locals {
  kafka_bootstrap_servers = one(concat(
    aws_msk_serverless_cluster.kafka[*].bootstrap_brokers_sasl_iam, aws_msk_cluster.kafka[*].bootstrap_brokers_sasl_iam
  ))
}

output "env" {
  description = "Settings for .env: `terraform output -raw env >> ../../.env`."
  value = join("", [for name, value in {
    CROWDPULSE_AWS_REGION                = var.aws_region
    CROWDPULSE_BACKGROUND_RETENTION_DAYS = var.retention_days
    CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS   = local.kafka_bootstrap_servers
    CROWDPULSE_S3_BUCKET                 = aws_s3_bucket.data.bucket
    CROWDPULSE_S3_ENDPOINT               = "https://s3.${var.aws_region}.${data.aws_partition.current.dns_suffix}"
  } : "${name}=${value}\n" if value != null])
}

output "role_arns" {
  description = "ARN of each role: name it as role_arn in a profile of ~/.aws/config, and set AWS_PROFILE."
  value       = { for name, role in aws_iam_role.crowdpulse : name => role.arn }
}

output "policy_arns" {
  description = "ARN of each policy, to attach it to another role."
  value       = { for name, policy in aws_iam_policy.crowdpulse : name => policy.arn }
}

output "kafka_security_group_id" {
  description = "Security group that a client of MSK has to be in; null without a VPC."
  value       = one(aws_security_group.kafka[*].id)
}

output "flink_application" {
  description = "Name of the Managed Flink application; null without one."
  value       = one(aws_kinesisanalyticsv2_application.flink[*].name)
}
