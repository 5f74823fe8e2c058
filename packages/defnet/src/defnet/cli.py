"""The command `defnet`. What a command does is imported when it runs, so that `--help` answers at once."""

from defnet.commands import (
    ablate,
    calibrate,
    compare,
    complexity,
    cross,
    degrade,
    evaluate,
    explain,
    export,
    fit_heads,
    gmad,
    info,
    pseudo_rate,
    report,
    reproduce,
    score,
    sweep,
    train,
)
from iqa_datasets.command_classes import Command, new_program

app = new_program("defnet", "How good photographs look, how sure that is, and what is wrong with them.")

app.command("score", cls=Command, epilog=score.EPILOG)(score.score)
app.command("report", cls=Command, epilog=report.EPILOG)(report.report)
app.command("explain", cls=Command, epilog=explain.EPILOG)(explain.explain)
app.command("compare", cls=Command, epilog=compare.EPILOG)(compare.compare)
app.command("train", cls=Command, epilog=train.EPILOG)(train.train)
app.command("fit-heads", cls=Command, epilog=fit_heads.EPILOG)(fit_heads.fit_heads)
app.command("info", cls=Command, epilog=info.EPILOG)(info.info)
app.command("evaluate", cls=Command, epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("calibrate", cls=Command, epilog=calibrate.EPILOG)(calibrate.calibrate)
app.command("pseudo-rate", cls=Command, epilog=pseudo_rate.EPILOG)(pseudo_rate.pseudo_rate)
app.command("degrade", cls=Command, epilog=degrade.EPILOG)(degrade.degrade)
app.command("gmad", cls=Command, epilog=gmad.EPILOG)(gmad.gmad)
app.command("export", cls=Command, epilog=export.EPILOG)(export.export)
app.command("reproduce", cls=Command, epilog=reproduce.EPILOG)(reproduce.reproduce)
app.command("ablate", cls=Command, epilog=ablate.EPILOG)(ablate.ablate)
app.command("sweep", cls=Command, epilog=sweep.EPILOG)(sweep.sweep)
app.command("cross", cls=Command, epilog=cross.EPILOG)(cross.cross)
app.command("complexity", cls=Command, epilog=complexity.EPILOG)(complexity.complexity)

if __name__ == "__main__":
    app()
