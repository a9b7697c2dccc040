"""Record linkage as a train. `pprl_train.v4` and `pprl_train.v5` are its two carriages."""
