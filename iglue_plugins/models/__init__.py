"""The models xUNITER, UC2 and mUNITER: one encoder, task heads and contrastive projections."""
