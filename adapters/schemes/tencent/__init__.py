"""Sichuan 天府健康通, as the Tencent family of health codes speaks."""
