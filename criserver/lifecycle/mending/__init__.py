"""What was cut short, damaged or left over: found, given back, put right."""
