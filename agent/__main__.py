"""``python -m agent``: the device's commands alone, without the operator's and the cloud's."""

from agent.commands.device import device_app

if __name__ == "__main__":
    device_app()()
