"""What runs a program: vector code for processors, CUDA text, CasADi functions."""
