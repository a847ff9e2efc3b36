"""National 防疫健康信息码 as deployed gate terminals read it."""
