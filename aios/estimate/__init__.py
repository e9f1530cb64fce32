"""What a graph of calls will take, before it runs."""
