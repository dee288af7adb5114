"""Objective measures of coded audio: NSIM and ViSQOL, word error rate, signal distances, codebook use."""
