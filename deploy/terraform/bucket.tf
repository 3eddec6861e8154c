# Pictures and archives of background checks: personal data. No object has a second version: keys of pictures are
# hashes of their content, archives are only added to, and an old version would keep what was to be forgotten.

resource "aws_s3_bucket" "data" {
  bucket        = var.bucket
  force_destroy = var.delete_data_on_destroy
}

resource "aws_s3_bucket_ownership_controls" "data" {
  bucket = aws_s3_bucket.data.id

  rule {
    object_ownership = "BucketOwnerEnforced" # no access lists: policies alone decide
  }
}

resource "aws_s3_bucket_public_access_block" "data" {
  bucket = aws_s3_bucket.data.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  bucket = aws_s3_bucket.data.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_policy" "data" {
  bucket = aws_s3_bucket.data.id
  policy = templatefile("${path.module}/policies/bucket.json.tftpl", { bucket_arn = aws_s3_bucket.data.arn })

  depends_on = [aws_s3_bucket_public_access_block.data] # S3 refuses two changes of a bucket at once
}

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  bucket = aws_s3_bucket.data.id

  dynamic "rule" {
    for_each = toset(local.prefixes)

    content {
      id     = "retention-of-${trimsuffix(rule.value, "/")}"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      expiration {
        days = var.retention_days
      }
    }
  }

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = min(7, var.retention_days) # Flink may finish a younger one after a restart
    }

    # Only where somebody turned versioning on by hand: a forgotten object is gone a day later all the same.
    noncurrent_version_expiration {
      noncurrent_days = 1
    }

    expiration {
      expired_object_delete_marker = true
    }
  }
}

locals {
  prefixes = ["background/", "images/"]
}
