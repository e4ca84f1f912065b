"""What is known about a function before code is generated: its graph, live registers, masks, uniform values."""
