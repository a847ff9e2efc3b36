"""Hangzhou 杭州健康码, read through Zhejiang's provincial query."""
