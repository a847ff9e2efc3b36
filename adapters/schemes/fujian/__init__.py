"""Fujian 八闽健康码: green and orange first, three colours later, no code of its own."""
