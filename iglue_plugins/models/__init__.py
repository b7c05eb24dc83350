"""The models: xUNITER, UC2 and mUNITER from one encoder, their heads and contrastive projections."""
