"""The command `map-score-fusion`. What a command does is imported when it runs, so that `--help` answers at once."""

from iqa_datasets.command_classes import Command, new_program
from map_score_fusion.commands import catalogue, compare, evaluate, fit, predict, report, score

app = new_program(
    "map-score-fusion",
    "Many quality metrics, no human ratings, one better score per image with its uncertainty.",
    add_completion=False,
)

app.command("list", cls=Command, epilog=catalogue.EPILOG)(catalogue.list_methods)
app.command("fit", cls=Command, epilog=fit.EPILOG)(fit.fit)
app.command("predict", cls=Command, epilog=predict.EPILOG)(predict.predict)
app.command("evaluate", cls=Command, epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("compare", cls=Command, epilog=compare.EPILOG)(compare.compare)
app.command("report", cls=Command, epilog=report.EPILOG)(report.report)
app.command("score", cls=Command, epilog=score.EPILOG)(score.score)
