"""What shots will take before they are made: hours, money, memory and disk, and how long they wait for a GPU."""
