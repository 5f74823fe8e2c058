"""The command `defnet`. What a command does is imported when it runs, so that `--help` answers at once."""

from defnet.commands import evaluate, export, fit_heads, info, score, train
from iqa_datasets.command_classes import Command, new_program

app = new_program("defnet", "How good photographs look, how sure that is, and what is wrong with them.")

app.command("score", cls=Command, epilog=score.EPILOG)(score.score)
app.command("train", cls=Command, epilog=train.EPILOG)(train.train)
app.command("fit-heads", cls=Command, epilog=fit_heads.EPILOG)(fit_heads.fit_heads)
app.command("info", cls=Command, epilog=info.EPILOG)(info.info)
app.command("evaluate", cls=Command, epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("export", cls=Command, epilog=export.EPILOG)(export.export)

if __name__ == "__main__":
    app()
