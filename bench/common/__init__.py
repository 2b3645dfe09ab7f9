"""The parts that several benchmarks use."""
