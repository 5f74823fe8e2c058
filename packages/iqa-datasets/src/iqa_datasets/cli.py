"""The command `iqa-datasets`. What a command does is imported when it runs, so that `--help` answers at once."""

from iqa_datasets.command_classes import Command, new_program
from iqa_datasets.commands import catalogue, fake, fetch, overlap, plot, sessions, synthesize, table, verify

app = new_program("iqa-datasets", "Image quality data sets in their official layouts as one honest table.")

app.command("list", cls=Command, epilog=catalogue.LIST_EPILOG)(catalogue.list_datasets)
app.command("info", cls=Command, epilog=catalogue.INFO_EPILOG)(catalogue.show_card)
app.command("verify", cls=Command, epilog=verify.EPILOG)(verify.verify)
app.command("sessions", cls=Command, epilog=sessions.EPILOG)(sessions.sessions)
app.command("overlap", cls=Command, epilog=overlap.EPILOG)(overlap.overlap)
app.command("table", cls=Command, epilog=table.EPILOG)(table.table)
app.command("plot", cls=Command, epilog=plot.EPILOG)(plot.plot)
app.command("fake", cls=Command, epilog=fake.EPILOG)(fake.fake)
app.command("synthesize", cls=Command, epilog=synthesize.EPILOG)(synthesize.synthesize)
app.command("fetch", cls=Command, epilog=fetch.EPILOG)(fetch.fetch)
