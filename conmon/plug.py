"""Fills the holes of the heap."""
def plug():
    plugs = []
    for size in range(32, 513, 16):
        n = 0
        while True:
            n += 1
            block = bytes(size - 33) if size > 32 else 123456 + n
            if id(block) % 16384 == 48:
                break
            plugs.append(block)
    return plugs
