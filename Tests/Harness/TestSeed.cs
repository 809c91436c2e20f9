using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using FsCheck;
using Microsoft.FSharp.Core;
using Xunit.Abstractions;
using Xunit.Sdk;

[assembly: Xunit.TestFramework("OrleansRedis.Tests.Harness.SeededTestFramework", "OrleansRedis.Tests")]

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// The one number behind everything random in the tests: <c>TEST_SEED</c> from the environment, otherwise a new one for
/// every run. With the same number a test gets the same data, whichever other tests run beside it. Every failure
/// reports it.
/// </summary>
public static class TestSeed
{
    public static int Value { get; } = FromEnvironment() ?? System.Random.Shared.Next(1_000_000);

    /// <summary>A source of random numbers that belongs to this test alone.</summary>
    /// <param name="stream">Distinguishes the sources of one test: its cases, or its threads.</param>
    /// <param name="test">The test's name; the compiler fills it in.</param>
    public static Random Random(int stream = 0, [CallerMemberName] string test = "") => new((int)(Mix(stream, test) & int.MaxValue));

    /// <inheritdoc cref="Random"/>
    public static byte[] Bytes(int length, [CallerMemberName] string test = "")
    {
        byte[] bytes = new byte[length];
        Random(length, test).NextBytes(bytes);
        return bytes;
    }

    /// <summary>
    /// Has FsCheck try the property with this test's own random values; throws at the first that violates it.
    /// </summary>
    public static void Check(this Property property, int values = 100, [CallerMemberName] string test = "")
    {
        var replay = new Replay(new Rnd(Mix(0, test)), FSharpOption<int>.None);
        property.Check(Config.QuickThrowOnFailure.WithMaxTest(values).WithReplay(FSharpOption<Replay>.Some(replay)));
    }

    private static int? FromEnvironment()
    {
        string? text = Environment.GetEnvironmentVariable("TEST_SEED");
        if (string.IsNullOrEmpty(text)) return null;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int seed)
            ? seed
            : throw new FormatException($"TEST_SEED is '{text}'; it must be a number from 0 to {int.MaxValue}.");
    }

    /// <summary>
    /// FNV-1a over the seed, the stream and the name: string.GetHashCode would differ from run to run.
    /// </summary>
    private static ulong Mix(int stream, string test)
    {
        ulong hash = 14695981039346656037;
        foreach (char letter in string.Create(CultureInfo.InvariantCulture, $"{Value} {stream} {test}")) hash = (hash ^ letter) * 1099511628211;
        return hash ^ (hash >> 32);
    }
}

/// <summary>xUnit's own way to run tests, except that the message of every failure ends with the seed.</summary>
public sealed class SeededTestFramework(IMessageSink diagnostics) : XunitTestFramework(diagnostics)
{
    protected override ITestFrameworkExecutor CreateExecutor(AssemblyName assemblyName) =>
        new Executor(assemblyName, SourceInformationProvider, DiagnosticMessageSink);

    private sealed class Executor(AssemblyName assembly, ISourceInformationProvider source, IMessageSink diagnostics)
        : XunitTestFrameworkExecutor(assembly, source, diagnostics)
    {
        protected override void RunTestCases(IEnumerable<IXunitTestCase> testCases, IMessageSink executionMessageSink,
            ITestFrameworkExecutionOptions executionOptions) =>
            base.RunTestCases(testCases, new SeedTeller(executionMessageSink), executionOptions);
    }

    private sealed class SeedTeller(IMessageSink next) : Xunit.LongLivedMarshalByRefObject, IMessageSink
    {
        public bool OnMessage(IMessageSinkMessage message) => next.OnMessage(message is ITestFailed failed ? WithSeed(failed) : message);

        private static TestFailed WithSeed(ITestFailed failed)
        {
            string[] messages = [.. failed.Messages];
            if (messages.Length > 0) messages[0] += string.Create(CultureInfo.InvariantCulture, $"\nTEST_SEED={TestSeed.Value}");
            return new TestFailed(failed.Test, failed.ExecutionTime, failed.Output, failed.ExceptionTypes, messages, failed.StackTraces,
                failed.ExceptionParentIndices);
        }
    }
}
