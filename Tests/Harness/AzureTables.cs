using System.Globalization;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// Azure Tables for the tests: those of the storage account whose connection string is in TEST_AZURE_TABLES, or else those
/// of an Azurite of the tests' own, which ./test installs. It is started by the first test that
/// asks for it, on a free port, with its files in a temporary directory, and ends with the tests, however they end.
/// </summary>
internal static class AzureTables
{
    /// <summary>Ends when the other end of its input is closed, and with it what it has started.</summary>
    private const string Guard = "\"$@\" </dev/null & read -r _; kill -9 $!";

    /// <summary>Azurite's own account, which is the same everywhere.</summary>
    private const string Key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    private static readonly string s_program = Path.Combine(
        RedisProcess.RepositoryRoot, "Tests", "Storage", "azurite", "node_modules", "azurite", "dist", "src", "table", "main.js");

    private static readonly Lazy<Task<string>> s_account = new(StartAsync);

    /// <summary>The connection string; skips the test if there is neither an account nor Azurite.</summary>
    public static Task<string> AccountAsync()
    {
        string account = Environment.GetEnvironmentVariable("TEST_AZURE_TABLES") ?? "";
        if (account.Length != 0) return Task.FromResult(account);
        Requires.That(File.Exists(s_program), "TEST_AZURE_TABLES does not say where Azure Tables are, and Azurite is not installed");
        return s_account.Value;
    }

    private static async Task<string> StartAsync()
    {
        for (int attempt = 1; ; attempt++)
        {
            DirectoryInfo directory = Directory.CreateTempSubdirectory("orleansredis-azurite-");
            string port = RedisProcess.FreePort().ToString(CultureInfo.InvariantCulture);
            ClientProgram azurite = ClientProgram.Start(
                "sh", "-c", Guard, "sh", "node", s_program, "--location", directory.FullName, "--tableHost", "127.0.0.1", "--tablePort", port,
                "--skipApiVersionCheck", "--disableTelemetry", "--silent");
            AppDomain.CurrentDomain.ProcessExit += (_, _) =>
            {
                azurite.DisposeAsync().AsTask().GetAwaiter().GetResult();
                directory.Delete(recursive: true);
            };
            await Eventually.TrueAsync(() => azurite.Output.Contains("successfully started", StringComparison.Ordinal) || HasNoPort(), () => azurite.Output);
            // Another program may have taken the port meanwhile.
            if (HasNoPort() && attempt < 3) continue;
            return $"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={Key};TableEndpoint=http://127.0.0.1:{port}/devstoreaccount1;";

            bool HasNoPort() => azurite.Output.Contains("EADDRINUSE", StringComparison.Ordinal);
        }
    }
}
