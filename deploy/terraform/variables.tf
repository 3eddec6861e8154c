variable "name" {
  description = "Put before the names of all that is made here; two of these in one account need two names."
  type        = string
  default     = "crowdpulse"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name is 2 to 31 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "aws_region" {
  description = "Region of everything. DetectToxicContent of Comprehend is not in every region: look before you choose."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region is a region's code, for example eu-west-1."
  }
}

variable "bucket" {
  description = "Name of the bucket of pictures and archives; unique in the whole world. Becomes CROWDPULSE_S3_BUCKET."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket is 3 to 63 lower-case letters, digits and hyphens (a dot would break TLS)."
  }
}

variable "retention_days" {
  description = "After how many days S3 deletes what a background check gathered and found."
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 3650 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days is a whole number of days from 1 to 3650."
  }
}

variable "delete_data_on_destroy" {
  description = "Whether `terraform destroy` deletes the bucket with all that is in it; otherwise it stops at a bucket that is not empty."
  type        = bool
  default     = false
}

variable "trusted_principals" {
  description = "ARNs of who may take on each role. A role without any can be taken on by those in the account whose own policies allow it."
  type = object({
    flink    = optional(list(string), [])
    producer = optional(list(string), [])
    forget   = optional(list(string), [])
  })
  default = {}

  validation {
    condition     = alltrue([for arn in flatten(values(var.trusted_principals)) : can(regex("^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:", arn))])
    error_message = "trusted_principals holds ARNs of users and roles, for example arn:aws:iam::123456789012:role/flink."
  }
}

variable "tags" {
  description = "Tags of everything, besides project and managed_by."
  type        = map(string)
  default     = {}
}

variable "subnet_ids" {
  description = "Private subnets of one VPC, in two or three availability zones: for MSK, and for the Flink application where it is to reach MSK."
  type        = list(string)
  default     = []

  validation {
    condition     = !(var.create_msk && length(var.subnet_ids) < 2)
    error_message = "create_msk needs subnet_ids: at least two, each in an availability zone of its own."
  }
}

variable "create_msk" {
  description = "Whether to make a Kafka cluster (MSK). It costs by the hour."
  type        = bool
  default     = false
}

variable "msk_type" {
  description = "`serverless`, or `provisioned` with one broker in each subnet."
  type        = string
  default     = "serverless"

  validation {
    condition     = contains(["serverless", "provisioned"], var.msk_type)
    error_message = "msk_type is serverless or provisioned."
  }
}

variable "msk_kafka_version" {
  description = "Kafka's version, of a provisioned cluster. IAM ends transactions (exactly once) from 3.8 on."
  type        = string
  default     = "3.8.x"
}

variable "msk_instance_type" {
  description = "Size of each broker of a provisioned cluster."
  type        = string
  default     = "kafka.t3.small"
}

variable "msk_volume_gib" {
  description = "Disk of each broker of a provisioned cluster, in GiB."
  type        = number
  default     = 50

  validation {
    condition     = var.msk_volume_gib >= 1 && var.msk_volume_gib <= 16384
    error_message = "msk_volume_gib is from 1 to 16384."
  }
}

variable "create_flink_application" {
  description = "Whether to make a Managed Service for Apache Flink application. It costs by the hour while it runs. Read the README first."
  type        = bool
  default     = false

  validation {
    condition     = !var.create_flink_application || var.flink_code_zip != null
    error_message = "create_flink_application needs flink_code_zip, the file with the job."
  }
}

variable "flink_code_zip" {
  description = "Zip on this machine with the job, its Python packages and its jars. No secrets in it: it is copied to the bucket."
  type        = string
  default     = null

  validation {
    condition     = var.flink_code_zip == null || can(filesha256(var.flink_code_zip))
    error_message = "flink_code_zip is not a file that can be read."
  }
}

variable "flink_python" {
  description = "The job's file in the zip."
  type        = string
  default     = "jobs/background_check.py"
}

variable "flink_jar" {
  description = "The jar of all connectors in the zip."
  type        = string
  default     = "lib/connectors.jar"
}

variable "flink_runtime" {
  description = "Runtime of Managed Flink, nearest to the 2.3 that Crowdpulse is written for. Provider 5.100 knows up to FLINK-1_20."
  type        = string
  default     = "FLINK-2_2"

  validation {
    condition     = can(regex("^FLINK-[0-9]+_[0-9]+$", var.flink_runtime))
    error_message = "flink_runtime is a runtime of Managed Flink, for example FLINK-2_2."
  }
}

variable "flink_parallelism" {
  description = "Parallelism of the job; each unit is one KPU (1 vCPU, 4 GB), and is paid."
  type        = number
  default     = 1

  validation {
    condition     = var.flink_parallelism >= 1 && var.flink_parallelism <= 64
    error_message = "flink_parallelism is from 1 to 64."
  }
}
