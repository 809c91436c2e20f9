namespace OrleansRedis.Tests.Simulation;

/// <summary>Something that must never happen has happened, or something that must happen has not.</summary>
internal sealed class InvariantException(string message) : Exception(message);
