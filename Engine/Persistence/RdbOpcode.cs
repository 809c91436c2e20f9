namespace OrleansRedis.Engine;

/// <summary>What can stand between the keys of an RDB file (rdb.h of Redis).</summary>
internal enum RdbOpcode : byte
{
    /// <summary>In files of clusters: a slot's number, its number of keys, and how many of them expire.</summary>
    SlotInfo = 244,

    /// <summary>The code of a function library.</summary>
    Function2 = 245,

    /// <summary>A function library in the form of the release candidates of 7.0.</summary>
    FunctionPreGa = 246,

    /// <summary>Data of a module that belongs to no key.</summary>
    ModuleAux = 247,

    /// <summary>How many seconds the next key has been idle.</summary>
    Idle = 248,

    /// <summary>The LFU counter of the next key.</summary>
    Frequency = 249,

    /// <summary>A name and a value that describe the file.</summary>
    Aux = 250,

    /// <summary>How many keys this database has, and how many of them expire.</summary>
    ResizeDb = 251,

    /// <summary>When the next key expires, in Unix ms.</summary>
    ExpireTimeMs = 252,

    /// <summary>When the next key expires, in Unix seconds; before version 3.</summary>
    ExpireTime = 253,

    /// <summary>The keys from here on belong to this database.</summary>
    SelectDb = 254,

    /// <summary>The end, except for the CRC that follows from version 5 on.</summary>
    Eof = 255,
}
