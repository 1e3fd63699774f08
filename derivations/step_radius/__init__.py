"""The Taylor radius of softmax losses: zeros of the partition function, certificates, series."""
