"""Travel card 通信大数据行程卡: places without health, evidence and never a level."""
