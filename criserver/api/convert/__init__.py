"""Between protobuf and the model, one module per noun: requests in, checked; rows out, cheaply. No I/O."""
