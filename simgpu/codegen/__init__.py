"""From analysed PTX to LLVM's intermediate representation."""
