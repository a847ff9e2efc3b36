"""Chongqing 渝康码: a clear QR text and an encrypted answer."""
