namespace OrleansRedis.Silo;

/// <summary>The text that --help prints.</summary>
internal static class CommandLineHelp
{
    public const string Text = """
        Usage: orleansredis-server [/path/to/redis.conf] [options] [-]
               orleansredis-server - (read config from stdin)
               orleansredis-server -v or --version
               orleansredis-server -h or --help

        Options are the directives of redis.conf (deploy/redis.conf documents each), after two dashes.

        Examples:
               orleansredis-server (run the server with default conf)
               orleansredis-server /etc/orleansredis/6379.conf
               orleansredis-server --port 7777
               orleansredis-server /etc/myredis.conf --loglevel verbose -
        """;
}
