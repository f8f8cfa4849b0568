"""Every backend that is here and plain diffusers, timed in turns on one shot and held against eager float32."""
