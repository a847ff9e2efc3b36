"""Wenzhou 温州健康码 on the page that the Alipay family of health codes shares."""
