using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// Runs a method in a process of its own: one that looks at what the whole process uses, that depends on its environment,
/// or that is to end it. The method is static, without parameters, and fails by throwing.
/// </summary>
public static class OwnProcess
{
    /// <summary>Runs it to its end, which must be a good one, and returns what it has written.</summary>
    /// <param name="method">The method.</param>
    /// <param name="environment">NAME=value, which the process has besides this one's.</param>
    public static async Task<string> RunAsync(Action method, params string[] environment)
    {
        (int code, string output) = await RunToItsEndAsync(method, environment);
        return code == 0 ? output : throw new InvalidOperationException($"{method.Method.Name} ended with {code}:\n{output}");
    }

    /// <summary>Runs it to its end, which must be a bad one, with this message.</summary>
    public static async Task EndsBadlyAsync(Action method, string message, params string[] environment)
    {
        (int code, string output) = await RunToItsEndAsync(method, environment);
        if (code == 0 || !output.Contains(message, StringComparison.Ordinal))
            throw new InvalidOperationException($"{method.Method.Name} ended with {code}, and should have with \"{message}\":\n{output}");
    }

    /// <summary>Starts it, for a test that talks with it or kills it.</summary>
    public static ClientProgram Start(Action method, params string[] environment)
    {
        // DIRECTORY/shared/Microsoft.NETCore.App/VERSION is where the runtime is that this process has.
        string dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../../dotnet"));
        string[] words =
        [
            "ORLEANSREDIS_HEAP_CHECKS=0", "DOTNET_DbgEnableMiniDump=0", string.Create(CultureInfo.InvariantCulture, $"TEST_SEED={TestSeed.Value}"),
            .. environment,
            dotnet, typeof(OwnProcess).Assembly.Location, method.Method.DeclaringType!.FullName!, method.Method.Name,
        ];
        return ClientProgram.Start("env", words);
    }

    private static async Task<(int Code, string Output)> RunToItsEndAsync(Action method, params string[] environment)
    {
        await using ClientProgram child = Start(method, environment);
        child.CloseInput();
        int code = await child.WaitForExitAsync();
        return (code, child.Output);
    }

    private static int Main(string[] args)
    {
        if (args is not [string type, string name]) return 2;
        try
        {
            MethodInfo method = typeof(OwnProcess).Assembly.GetType(type, throwOnError: true)!
                .GetMethod(name, BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)
                ?? throw new MissingMethodException(type, name);
            method.CreateDelegate<Action>()();
            return 0;
        }
        catch (Exception e)
        {
            Console.WriteLine(e);
            return 1;
        }
    }
}
