"""The emulator's S3: objects in moto or at another endpoint, and moto's buckets kept on disk."""
