"""The engine as a service: one queue of jobs on disk, one worker process for each device. Nothing here but a worker
loads torch."""
