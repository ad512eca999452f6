"""The seam to the compiled core: its functions, its handles and errors, the CPU and the threads that it runs on."""
