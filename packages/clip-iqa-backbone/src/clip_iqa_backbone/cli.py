"""The command `clip-iqa-backbone`. What a command does is imported when it runs, so that `--help` answers at once."""

from clip_iqa_backbone.commands import export, info
from iqa_datasets.command_classes import Command, new_program

app = new_program("clip-iqa-backbone", "From images to the joint probability over quality, scene and distortion.")

app.command("export", cls=Command, epilog=export.EPILOG)(export.export)
app.command("info", cls=Command, epilog=info.EPILOG)(info.info)

if __name__ == "__main__":
    app()
