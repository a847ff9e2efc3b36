"""What every process of Hutong shares: server, channel, batches, settings, small files.

I/O room, used by hub, edge and adapter. It knows no service but the registry's,
where members enrol: names of other methods and messages come in from outside.
"""
