"""Objective metrics of coded audio: NSIM and ViSQOL, word error rate, signal distances, codebook usage."""
