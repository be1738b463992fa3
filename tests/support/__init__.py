"""What several tests share: people, plays, workers, SSH hosts, terminals."""
