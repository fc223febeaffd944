"""Compiler flags of code that runs without a libc."""

# No exceptions, no thread-safe statics, and no stack guard, which lives in
# thread-local storage that nobody sets up.
FREESTANDING = [
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-stack-protector",
    "-fno-threadsafe-statics",
    "-fno-asynchronous-unwind-tables",
    "-fno-tree-loop-distribute-patterns",
    "-U_FORTIFY_SOURCE",
    "-Os",
]
