"""What is told of pods, containers and images: lists, events, stats, traces, counts."""
