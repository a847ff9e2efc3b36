"""Zhejiang 浙江健康码: one provincial query for the records of eleven cities."""
