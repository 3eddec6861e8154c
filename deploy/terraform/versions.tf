terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Tried with 5.100.0. A later release is needed for Flink 2 (see flink_runtime).
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = merge({ project = var.name, managed_by = "terraform" }, var.tags)
  }
}
