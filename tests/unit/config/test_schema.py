from criserver.config.schema import Config


def test_socket_path_is_what_listen_names() -> None:
    assert Config(listen="unix:///run/x/y.sock").socket_path == "/run/x/y.sock"
