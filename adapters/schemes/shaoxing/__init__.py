"""Shaoxing 绍兴健康码, read through the SOAP service of its hospitals."""
