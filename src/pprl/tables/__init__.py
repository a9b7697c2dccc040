"""Reading tables: one reader for every command and call.

People, opt-out lists, truths, groups of records and review sheets all come in through
`pprl.tables.read`, so that what one command reads every command reads.
"""
